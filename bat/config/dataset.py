"""A data set with all its settings, and the whole configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from bat.config.architectures import Architecture, is_built_in, smallest_edge
from bat.config.attacks import ATTACKS, FURTHER_PGD
from bat.config.code import spelled
from bat.config.data import EDGES, AnyData
from bat.config.networks import Network, gathered
from bat.config.overlaying import overlay
from bat.config.places import WorkflowPlace, no_option
from bat.config.proxies import Proxies
from bat.config.runs import (
    RUNS,
    Adversary,
    AnyRun,
    Evaluation,
    History,
    Selection,
)
from bat.config.samples import MEMORIZATION
from bat.config.scores import Ensemble, Groups, Scores
from bat.config.studies import Ablation, External, Studies
from bat.config.trainers import with_trainer
from bat.config.training import Training
from bat.config.values import Count, Name, Section, Seed
from bat.scores import SCORES
from bat.scores.proxies import PROXIES

FOLDERS = (
    *("browse_files", "data", "figures", "groups", "proxies", "scores", "specs", "tables"),
    "trials",
)
"""Under the results of a data set, beside those that are called after architectures."""


class Dataset(Section):
    """One data set and everything that is made of it."""

    data: AnyData
    scores: Scores = Scores()
    ensemble: Ensemble = Ensemble()
    groups: Groups = Groups()
    proxies: Proxies | None = Field(
        None, description="scores of single trainings; unset: none are made"
    )
    networks: dict[Name, Network] = Field(
        {},
        description="networks of your own by name; one may also be defined where it is first "
        "named, as {name: tiny, network: 'nets.py:Tiny'}",
    )
    architectures: tuple[Architecture, ...] = Field(
        ("resnet18",),
        min_length=1,
        description="networks that the runs, studies and tables are made of, each for itself",
    )
    seeds: tuple[Seed, ...] = Field(
        (0,), min_length=1, description="each run is made once for each"
    )
    adversary: Adversary = Adversary()
    training: Training = Field(Training(), description="of every run that does not set its own")
    selection: Selection = Selection()
    history: History = History()
    evaluation: Evaluation = Evaluation()
    runs: dict[Name, AnyRun] = Field(
        RUNS, description="added to, or laid over, the paper's methods"
    )
    external: dict[Name, External] = Field({}, description="models by the name of their row")
    baseline: Name | None = Field(
        None,
        description="run that the table of methods takes differences from; unset: bat-1-0.2",
    )
    ablation: Ablation = Ablation()
    studies: Studies = Studies()
    only: dict[Name, tuple[Name, ...]] = Field(
        {},
        description="figures and tables that are made of an architecture's runs, as "
        "{resnet18: [methods, fig2]}; of one that is not named, all",
    )

    @property
    def watched(self) -> str:
        """The architecture of the single trainings behind ``proxies``, where these are made."""
        return self.proxies.architecture or self.scores.architecture

    @model_validator(mode="before")
    @classmethod
    def _runs(cls, raw: Any) -> Any:
        """Lay a data set's training under each run, and the paper's runs under its own."""
        if not isinstance(raw, dict) or not isinstance(raw.get("runs") or {}, dict):
            return raw
        shared = {"training": raw["training"]} if isinstance(raw.get("training"), dict) else {}
        paper = {
            name: run.model_dump(exclude_unset=True) | {"method": run.method}
            for name, run in RUNS.items()
        }
        runs = overlay(paper, raw.get("runs") or {})
        return raw | {
            "runs": {
                name: overlay(shared, spelled(run, "method", "objective"))
                if isinstance(run, dict)
                else run
                for name, run in runs.items()
                if run is not None
            }
        }

    @model_validator(mode="before")
    @classmethod
    def _networks(cls, raw: Any, info: ValidationInfo) -> Any:
        """Take networks of one's own from where they are named; say what sections ask for."""
        if not isinstance(raw, dict):
            return raw
        raw = with_trainer(gathered(raw))
        if "data" in raw:
            raw = raw | {"data": spelled(raw["data"], "source", "load")}
        if info.context is not None:
            trainer = (raw.get("scores") or {}).get("trainer") or {}
            info.context["networks"] = {*(raw.get("networks") or ()), trainer.get("name")}
            groups = raw.get("groups")
            score = groups.get("score") if isinstance(groups, dict) else None
            info.context["groups"] = score or MEMORIZATION
        return raw

    @model_validator(mode="after")
    def _own_names(self):
        for name in self.networks:
            if is_built_in(name):
                raise ValueError(f"networks.{name} has the name of a built-in; rename it")
            if name in FOLDERS:
                raise ValueError(
                    f"networks.{name} has the name of a folder in the results of every data set; "
                    "rename it"
                )
        for name in self.evaluation.attacks:
            if name in ("index", "clean", *ATTACKS) or FURTHER_PGD.fullmatch(name):
                raise ValueError(f"evaluation.attacks.{name} has the name of a column; rename it")
        steps = [self.evaluation.pgd_steps, *self.evaluation.pgd_more]
        if len(set(steps)) < len(steps):
            raise ValueError(
                f"evaluation.pgd_steps and pgd_more name {', '.join(map(str, steps))} steps; "
                "expected each number once"
            )
        trainer = self.scores.trainer and self.scores.trainer.name
        if trainer and (is_built_in(trainer) or trainer in self.networks):
            raise ValueError(f"scores.trainer.name: {trainer} names an architecture; set another")
        if trainer in self.architectures:
            raise ValueError(
                f"architectures: {trainer} is a training of trials, not an architecture"
            )
        return self

    @model_validator(mode="after")
    def _proxies_are_trained(self):
        scores = {"groups.score": self.groups.score}
        scores |= {f"runs.{n}.score": getattr(run, "score", None) for n, run in self.runs.items()}
        scores |= {
            f"runs.{name}.samples.drop.score": run.samples.drop.score
            for name, run in self.runs.items()
            if run.samples is not None and run.samples.drop is not None
        }
        asked = {key: score for key, score in scores.items() if score in PROXIES}
        brought = "proxies" in self.scores.tables
        if self.proxies and brought:
            raise ValueError(
                "proxies are configured, and listed under scores.tables as brought by the source; "
                "remove one of them"
            )
        source, tables = self.scores.source, ("memorization", *self.scores.tables)
        for key, score in scores.items():
            if source is not None and score in SCORES and score not in tables:
                raise ValueError(
                    f"{key} is {score}, and scores.source is not said to bring it; list it under "
                    "scores.tables if it does, or choose another score"
                )
        for key, score in asked.items():
            if not brought and (self.proxies is None or score not in self.proxies.names):
                raise ValueError(
                    f"{key} is {score}, a score of single trainings that is not made; "
                    f"add it to proxies.names, as proxies: {{names: [{score}]}}"
                )
        trainer = self.scores.trainer and self.scores.trainer.name
        if self.proxies and self.watched == trainer:
            raise ValueError(
                "proxies watch trainings of ours, and scores.trainer is one of your own; set "
                "proxies.architecture"
            )
        return self

    @model_validator(mode="after")
    def _named_once(self):
        twice = sorted(self.runs.keys() & self.external.keys())
        if twice:
            raise ValueError(f"{', '.join(twice)} names a run and an external model; rename one")
        for key in ("seeds", "architectures"):
            if len(set(listed := getattr(self, key))) < len(listed):
                raise ValueError(f"{key} lists one twice; list each once")
        return self

    @model_validator(mode="after")
    def _baseline_has_a_row(self):
        rows = [*self.runs, *self.external]
        if self.baseline is not None and self.baseline not in rows:
            raise ValueError(
                f"baseline is {self.baseline}, which has no row in the table of methods; expected "
                f"one of {', '.join(rows)}"
            )
        return self

    @model_validator(mode="after")
    def _large_enough(self):
        edge = self.data.resize or EDGES.get(self.data.source)
        trained = [] if self.scores.source else [self.scores.architecture]
        trained += [] if self.scores.source else self.ensemble.architectures
        trained += [self.watched] if self.proxies else []
        for architecture in dict.fromkeys([*trained, *self.architectures]):
            if edge is not None and edge < smallest_edge(architecture):
                raise ValueError(
                    f"images of {edge} x {edge} pixels are too small for {architecture}, which "
                    f"needs {smallest_edge(architecture)} x {smallest_edge(architecture)}; set "
                    "data.resize, or choose another architecture"
                )
        return self

    @model_validator(mode="after")
    def _external_architectures(self):
        for name, model in self.external.items():
            if model.architecture not in (None, *self.architectures):
                raise ValueError(
                    f"external.{name} is of {model.architecture}, which is not among "
                    f"architectures ({', '.join(self.architectures)}), so no table would have "
                    "its row; add it there"
                )
        return self

    @model_validator(mode="after")
    def _enough_for_members(self):
        scores, members = self.scores, self.ensemble.members
        shared = scores.architecture in self.ensemble.architectures
        if scores.trials == "auto" and shared and members > scores.min_trials:
            raise ValueError(
                f"ensemble.members ({members}) must not exceed scores.min_trials "
                f"({scores.min_trials}) with trials: auto, since members are trials of "
                f"{scores.architecture}; raise min_trials"
            )
        return self

    @model_validator(mode="after")
    def _only_architectures(self):
        if absent := sorted(set(self.only) - set(self.architectures)):
            raise ValueError(
                f"only.{absent[0]} is not among architectures ({', '.join(self.architectures)}), "
                "so nothing is made of it; add it there, or leave it out here"
            )
        return self

    @model_validator(mode="after")
    def _consistent(self):
        if self.groups.influence_touch < self.scores.influence.keep_above:
            raise ValueError(
                f"groups.influence_touch ({self.groups.influence_touch:g}) lies below "
                f"scores.influence.keep_above ({self.scores.influence.keep_above:g}): "
                "the pairs it asks for are not kept; lower keep_above"
            )
        return self


class Compute(Section):
    """Where and how jobs run. Nothing here makes a finished job run again."""

    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto: a GPU where there is one, else the CPU"
    )
    compile: bool = Field(True, description="torch.compile on a GPU")
    jobs_per_gpu: Count = Field(1, description="jobs that may share one GPU")


class Config(Section):
    """The whole configuration."""

    results: Annotated[WorkflowPlace, AfterValidator(no_option)] = Field(
        Path("results"),
        description="folder of everything that is made; ~ and $VARIABLES are expanded",
    )
    compute: Compute = Compute()
    datasets: dict[Name, Dataset] = Field(
        min_length=1, description="the name is that of the folder below results"
    )

    @property
    def logs(self) -> Path:
        """Folder of log and benchmark files: two folders of results have two."""
        return Path("logs") if self.results == Path("results") else self.results / "logs"
