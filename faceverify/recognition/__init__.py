"""What it is for: verify, verify a claim, identify, enroll."""
