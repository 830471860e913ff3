"""Protocols, trials and reports: what a system is worth on data, and the thresholds that follow from it."""

from lineament.embedding.cache import EmbeddingCache
from lineament.evaluation.calibration import Provenance, fit_calibration, supported_rates
from lineament.evaluation.detection import DetectionReport, detection_report
from lineament.evaluation.detection_sets import DetectionSet, LabelledPicture, read_dlib_faces, read_facemask
from lineament.evaluation.differences import compare_systems
from lineament.evaluation.html import reports_page
from lineament.evaluation.machine import Machine, this_machine
from lineament.evaluation.megaface_report import MegafaceReport, megaface_report
from lineament.evaluation.own import (
    Asked,
    Measured,
    OwnReport,
    measure_pack,
    measure_pairs,
    measure_people,
    measure_scores,
)
from lineament.evaluation.plots import Scores, plot_ced, plot_cmc, plot_det, plot_roc, plot_similarities
from lineament.evaluation.reading import read_reports
from lineament.evaluation.report_diff import diff_reports
from lineament.evaluation.samples import (
    SampleEmbeddings,
    all_pair_scores,
    embed_crops,
    pair_similarities,
)
from lineament.evaluation.sets import PictureSource
from lineament.evaluation.templates import TemplateProtocol, measure_templates, read_template_list
from lineament.evaluation.trials import Trials, all_pairs, read_pairs
from lineament.evaluation.verification import (
    ScoredTrials,
    SystemUsed,
    VerificationReport,
    WeightsUsed,
    score_trials,
    verification_report,
)

__all__ = [
    "Asked",
    "DetectionReport",
    "DetectionSet",
    "EmbeddingCache",
    "LabelledPicture",
    "Machine",
    "Measured",
    "MegafaceReport",
    "OwnReport",
    "PictureSource",
    "Provenance",
    "SampleEmbeddings",
    "ScoredTrials",
    "Scores",
    "SystemUsed",
    "TemplateProtocol",
    "Trials",
    "VerificationReport",
    "WeightsUsed",
    "all_pair_scores",
    "all_pairs",
    "compare_systems",
    "detection_report",
    "diff_reports",
    "embed_crops",
    "fit_calibration",
    "measure_pack",
    "measure_pairs",
    "measure_people",
    "measure_scores",
    "measure_templates",
    "megaface_report",
    "pair_similarities",
    "plot_ced",
    "plot_cmc",
    "plot_det",
    "plot_roc",
    "plot_similarities",
    "read_dlib_faces",
    "read_facemask",
    "read_pairs",
    "read_reports",
    "read_template_list",
    "reports_page",
    "score_trials",
    "supported_rates",
    "this_machine",
    "verification_report",
]
