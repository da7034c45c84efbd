from pipeline.evaluation.report.evaluation_page import write_report

__all__ = ["write_report"]
