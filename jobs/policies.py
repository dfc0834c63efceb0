"""The stages of a build that obey what sites ask of robots in the archives themselves: robots.txt and tdmrep.json.

A build whose archives hold no such files runs none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from plait.filters.sections import Consent
from plait.jobs.dedup_stages import MakeStage, list_by_archive
from plait.jobs.units import policies as units
from plait.jobs.work import Json, Listed, Shuffle, Source, Stage, Unit, tables
from plait.pipeline.fetch.origins import REDIRECTS
from plait.pipeline.policies import POLICY_IN, POLICY_ORDER, ROBOTS, TDMREP
from plait.schemas.receipts import Output, Receipt

RUNNERS = "policies"


@dataclass
class PolicyStages:
    """Rules of sites, and what they forbid.

    Attributes:
        consent: which rules are obeyed.
        stage: makes a stage.
        run: runs a stage's units.
        shuffle: runs a relational step.
        chosen: rules that decide, or all that earlier generations and this one chose.
    """

    consent: Consent
    stage: MakeStage
    run: Callable[[Stage, Sequence[Unit]], list[Receipt]]
    shuffle: Callable[[Shuffle], list[Receipt]]
    chosen: tuple[Output, ...] = field(default=())

    def choose(self, found: Sequence[Output], moved: Sequence[Output], stored: Sequence[Output]) -> None:
        """Follow redirects, and choose of all captures those that decide.

        Args:
            found: captures of sites' rules (`plait.pipeline.policies.POLICY`).
            moved: redirects among them, by their targets.
            stored: what earlier generations chose.
        """
        if not found:
            self.chosen = tuple(stored)
            return
        captures = [*found, *stored]
        asking = moved
        for number in range(REDIRECTS):
            if not asking:
                break
            stage = self.stage(f"policy_redirects_{number + 1}", f"{RUNNERS}:follow_policies")
            sources = (Source((*found, *stored), 0), Source(tuple(asking), 1))
            done = self.shuffle(Shuffle(stage, sources, POLICY_IN, POLICY_ORDER))
            captures += tables(done, "policies")
            asking = tables(done, "moved_policies")
        stage = self.stage("choose_policies", f"{RUNNERS}:choose_policies")
        done = self.shuffle(Shuffle(stage, (Source(tuple(captures)),), POLICY_IN, POLICY_ORDER))
        self.chosen = tuple(tables(done, "policies"))

    @property
    def _kinds(self) -> list[Json]:
        obeyed = ((ROBOTS, self.consent.robots_txt), (TDMREP, self.consent.tdmrep))
        return [kind for kind, switched_on in obeyed if switched_on]

    def pages(self, keys: list[Output]) -> list[Output]:
        """Keys of the documents that their sites allow."""
        if not (keys and self.chosen and self._kinds):
            return keys
        listed = [Unit((o.sha256,), f"keys {n}", {"path": o.path}) for n, o in enumerate(keys)]
        sites = self.run(self.stage("list_page_sites", f"{RUNNERS}:list_page_sites"), listed)
        stage = self.stage("judge_pages", f"{RUNNERS}:judge_pages", {"kinds": self._kinds})
        sources = (Source(self.chosen, 0), Source(tuple(tables(sites, "sites")), 1))
        order = (*POLICY_ORDER, *units.PAGES_ORDER)
        return tables(self.shuffle(Shuffle(stage, sources, units.PAGES_IN, order)), "keys")

    def not_retained(self, pages: list[Output]) -> tuple[Listed, ...]:
        """Pages that their sites forbid, by archive, of those that would be retained (`PAGE`)."""
        if not (pages and self.chosen and self._kinds):
            return ()
        listed = [Unit((o.sha256,), f"pages {n}", {"path": o.path}) for n, o in enumerate(pages)]
        sites = self.run(self.stage("list_retained_sites", f"{RUNNERS}:list_retained_sites"), listed)
        stage = self.stage("judge_retained", f"{RUNNERS}:judge_retained", {"kinds": self._kinds})
        sources = (Source(self.chosen, 0), Source(tuple(tables(sites, "sites")), 1))
        order = (*POLICY_ORDER, *units.PAGES_ORDER)
        forbidden = tables(self.shuffle(Shuffle(stage, sources, units.RETAINED_IN, order)), "forbidden")
        if not forbidden:
            return ()
        return list_by_archive(self.stage("list_forbidden", "order:list_survivors"), self.shuffle, forbidden)

    def refused(self, ordered: Sequence[Receipt], extracted: Sequence[Receipt]) -> list[Output]:
        """Locators that refuse the image URLs which their sites forbid, and targets of redirects.

        Args:
            ordered: of whom has the documents' image nodes ("occurrences").
            extracted: of whom has "redirects".
        """
        nodes, redirects = tables(ordered, "occurrences"), tables(extracted, "redirects")
        if not (nodes and self.chosen and self._kinds):
            return []
        asked = [(output, "image_url") for output in nodes] + [(output, "target") for output in redirects]
        listed = [
            Unit((output.sha256, column), f"{output.table} {number}", {"path": output.path, "column": column})
            for number, (output, column) in enumerate(asked)
        ]
        sites = self.run(self.stage("list_image_sites", f"{RUNNERS}:list_url_sites"), listed)
        stage = self.stage("judge_images", f"{RUNNERS}:judge_urls", {"kinds": self._kinds})
        sources = (Source(self.chosen, 0), Source(tuple(tables(sites, "sites")), 1))
        order = (*POLICY_ORDER, "url")
        return tables(self.shuffle(Shuffle(stage, sources, units.URLS_IN, order)), "refused")
