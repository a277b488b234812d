"""Arrays in, pictures out: plotly plots of a study, matplotlib pictures of what its kernels see."""
