"""Arrays in, pictures out: plotly plots of a study, matplotlib pictures of what its kernels see."""

from phashopt.figures.accuracy import accuracy_against_macs
from phashopt.figures.curves import learning_curves
from phashopt.figures.export import png_bytes, svg_bytes, webp_bytes
from phashopt.figures.labels import group_letter, group_ranks, layer_label
from phashopt.figures.maps import map_sheets
from phashopt.figures.network import drawn_network
from phashopt.figures.similarity import mean_similarity, similarity_matrices
from phashopt.figures.study import dashboard_plots, study_plots
from phashopt.figures.trajectories import redundancy_trajectories, width_trajectories
from phashopt.figures.view import StudyView

__all__ = [
    "StudyView",
    "accuracy_against_macs",
    "dashboard_plots",
    "drawn_network",
    "group_letter",
    "group_ranks",
    "layer_label",
    "learning_curves",
    "map_sheets",
    "mean_similarity",
    "png_bytes",
    "redundancy_trajectories",
    "similarity_matrices",
    "study_plots",
    "svg_bytes",
    "webp_bytes",
    "width_trajectories",
]
