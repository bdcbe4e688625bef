"""What there was to test in a campaign: strategies, properties, and which apply to which, as
`assay list --json` tells."""

SCHEMA = 1


def store(history, campaign, document):
    """Enters what `assay list --json` said (its output, parsed). Again: replaces it."""
    if document.get("schema") != SCHEMA:
        raise ValueError("`assay list --json` speaks schema %s; this is written for %d" % (
            document.get("schema"), SCHEMA))
    with history.transaction():
        for table in ("properties", "strategies", "applicable"):
            history.write("DELETE FROM %s WHERE campaign = ?" % table, campaign)
        for position, property_ in enumerate(document["properties"]):
            history.insert("properties", campaign=campaign, property=property_["id"],
                           position=position, text=property_["text"])
        for position, strategy in enumerate(document["strategies"]):
            for number, told in enumerate(strategy.get("invariants", ()), 1):
                history.insert("properties", campaign=campaign, position=number,
                               property="invariant:%s.I%d" % (strategy["name"], number), text=told)
            history.insert("strategies", campaign=campaign, strategy=strategy["name"],
                           position=position, summary=strategy["summary"],
                           traits=" ".join(strategy["traits"]), file=strategy.get("source", ""))
            history.write_many("INSERT INTO applicable VALUES (?, ?, ?)", [
                (campaign, strategy["name"], name) for name in strategy["properties"]])
