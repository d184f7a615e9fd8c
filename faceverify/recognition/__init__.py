"""Verification, claims, identification and enrollment: photos in, decisions out."""
