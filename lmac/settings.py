"""The settings of all calls, each a pydantic model whose description names every field."""

from schemas.audit_config import AuditConfig
from schemas.evaluation_config import EvaluationConfig, SanityConfig
from schemas.explainer_config import ClapConfig, Cnn10Config, DecoderConfig, ExplainerConfig, FrontEndConfig
from schemas.input_config import InputConfig
from schemas.report_config import BrowseConfig, ReportConfig
from schemas.run_config import ClusterConfig, ContentConfig, RunConfig
from schemas.training_config import (
    AugmentConfig,
    ClassifierRecipe,
    ClassifierTraining,
    DecoderRecipe,
    DecoderTraining,
    GuidanceConfig,
    LoopConfig,
    ObjectiveConfig,
    ZeroShotObjective,
)

__all__ = [
    "AuditConfig",
    "AugmentConfig",
    "BrowseConfig",
    "ClapConfig",
    "ClassifierRecipe",
    "ClassifierTraining",
    "ClusterConfig",
    "Cnn10Config",
    "ContentConfig",
    "DecoderConfig",
    "DecoderRecipe",
    "DecoderTraining",
    "EvaluationConfig",
    "ExplainerConfig",
    "FrontEndConfig",
    "GuidanceConfig",
    "InputConfig",
    "LoopConfig",
    "ObjectiveConfig",
    "ReportConfig",
    "RunConfig",
    "SanityConfig",
    "ZeroShotObjective",
]
