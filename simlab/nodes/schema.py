"""The JSON schema of topology files, for editors. ``python -m simlab.nodes.schema`` rewrites the shipped one.

Editors complete and check while one types; the loader decides. So the schema is a little more lenient: what a node
must have may come from ``defaults``, and relations between nodes are not its business.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from simlab.nodes.specs import SPECS
from simlab.topology import model
from simlab.topology.loader import file_model

SHIPPED = Path(model.__file__).with_name("topology.schema.json")


def topology_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a topology file."""
    # Serialisation's view writes defaults as a file does: "1 s" rather than 1.0.
    schema = file_model(SPECS).model_json_schema(mode="serialization")
    definitions = schema["$defs"]
    for spec in SPECS.values():
        definitions[spec.__name__]["required"] = ["kind", "ae_title"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def schema_text() -> str:
    """Return the schema as it is shipped."""
    return json.dumps(topology_schema(), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Rewrite the shipped schema."""
    SHIPPED.write_text(schema_text(), encoding="utf-8")
    print(f"wrote {SHIPPED}")


if __name__ == "__main__":
    main()
