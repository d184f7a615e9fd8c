"""What methods are made of: heads, teachers, memories of earlier photos, what is cut or painted."""
