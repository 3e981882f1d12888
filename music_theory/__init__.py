"""What music models and music data both go by; imports neither of them."""
