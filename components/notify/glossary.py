"""The words of the report, for somebody who reads one for the first time."""

from typing import Final

from dawnlist.components.notify.facts import Facts
from dawnlist.components.notify.tables import TextTable, build_table

GLOSSARY: Final = {
    "challenger": "the best trial of this run's search, fitted on all rows before the holdout",
    "incumbent": "the configuration that is live, fitted on the same rows as the challenger",
    "live": "the published version as it is, judged on days that it has not seen",
    "item-kNN, popularity": "simple models that a good one has to beat",
    "own items": "what the user had before, the newest first: how far repeats alone lead",
    "validation": "the days on which the search chooses between trials",
    "holdout": "the days after validation, on which the models are judged once",
    "ndcg": "how high the items that users chose stand in their lists: 1 is best, 0 is none in the list",
    "recall": "the share of a user's chosen items that the list holds",
    "map, mrr": "precision at each hit; one divided by the rank of the first hit; averages over users",
    "hit rate": "the share of users whose list holds at least one chosen item",
    "@20": "of the first 20 places of the list",
    "coverage": "the share of the items that are in any list",
    "novelty": "how rare the shown items are, in bits; more means less popular items",
    "gini": "how unequally items are shown: 0 is all alike, 1 is one item for everybody",
    "interval": "the range that holds the true difference in 95 of 100 such runs; if it holds 0, "
    "there is no clear difference",
    "renewed": "the live configuration, fitted on the newest rows, because no better one was proved",
    "churn": "the share of the lists' places that changed since the live version",
    "PSI": "how far the mix of event types is from its usual one: 0 is equal, above 0.25 is another mix",
    "trial, rung, sweep": "one configuration that was tried; a round of the search, after which weak "
    "trials are dropped; one pass of the fit over the data",
    "quarantined": "rejected with a reason, and kept in the lake for a later look",
}
"""Term -> what it means."""


def build_glossary_table(facts: Facts) -> TextTable | None:
    """List the words of a run whose models were evaluated, and None without an evaluation."""
    if not facts.get_mapping("evaluate", "arms"):
        return None
    return build_table(["word", "meaning"], [[*entry] for entry in GLOSSARY.items()], words=(0, 1))
