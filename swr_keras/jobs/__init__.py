"""What a run is made of: jobs, their results, its folder, and tables over runs."""
