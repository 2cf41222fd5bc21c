"""All commands of `droidheaders cache`, out of the files that they are in."""

from __future__ import annotations

from droidheaders.cli import diff, exchange, upkeep
from droidheaders.cli.cache import app

app.command()(upkeep.verify)
app.command()(upkeep.prune)
app.command()(diff.diff)
app.command(name="import")(exchange.import_)
app.command()(exchange.export)
