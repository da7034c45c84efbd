"""All errors that calls raise for people; each is an `LmacError` whose message says what to do."""

from pipeline.audit.audited import AuditError
from pipeline.datasets.esc10.layout import Esc10Error
from pipeline.datasets.scenes.scene import SceneError
from pipeline.evaluation.names import EvaluationError
from pipeline.flow.actor_pool import RunFailedError
from pipeline.flow.checks import RunConflictError
from pipeline.flow.cluster import ClusterError
from pipeline.flow.finalize import UnreconciledError
from pipeline.flow.plan import InconsistentCommitsError
from pipeline.inputs.selection import SelectionError
from pipeline.inputs.window_file import DiskSpaceError
from pipeline.inputs.window_set import TrainingDataError
from pipeline.lmac.arguments import ArgumentError
from pipeline.models.checkpoint import ExplainerError
from pipeline.models.clap import ClapError
from pipeline.runs.extract import ExtractError
from pipeline.runs.lease import LeaseError
from pipeline.runs.run import NotInRunError
from pipeline.storage.errors import InputError, StorageError
from pipeline.training.loop import TrainingError
from schemas.errors import LmacError
from schemas.yaml_config import ConfigError

__all__ = [
    "ArgumentError",
    "AuditError",
    "ClapError",
    "ClusterError",
    "ConfigError",
    "DiskSpaceError",
    "Esc10Error",
    "EvaluationError",
    "ExplainerError",
    "ExtractError",
    "InconsistentCommitsError",
    "InputError",
    "LeaseError",
    "LmacError",
    "NotInRunError",
    "RunConflictError",
    "RunFailedError",
    "SceneError",
    "SelectionError",
    "StorageError",
    "TrainingDataError",
    "TrainingError",
    "UnreconciledError",
]
