"""The evaluation report: a self-contained HTML page with plots and worst errors."""
