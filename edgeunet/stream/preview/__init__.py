"""A page in a browser that shows a run: pictures, figures and curves. It changes nothing."""
