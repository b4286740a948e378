"""Reads a directory of `stepgate audit tiles` with aics-tlog, which is not ours.

tiles.py DIRECTORY: prints `ok: …` at the end; exit status 77 where this Python cannot have that reader.
"""

import sys
from pathlib import Path

try:
    import aics_tlog
    from aics_tlog import tiles
except ImportError as error:
    print(f"no aics-tlog here: {error}", file=sys.stderr)
    sys.exit(77)

root = Path(sys.argv[1])
key = aics_tlog.parse_vkey((root / "vkey").read_text().strip())
note = aics_tlog.parse_note((root / "checkpoint").read_text())
result = aics_tlog.verify_checkpoint(note, key)
assert result.ok, result
size, tree = result.size, result.root
# Every tile against the signed root, and every entry against its tile.
report = aics_tlog.audit_tiles(aics_tlog.FileSystemTileReader(root), size, tree)
for path in (root / "tile").rglob("*"):
    if path.is_file():
        name = path.relative_to(root).as_posix()
        parse = tiles.parse_entry_bundle_path if name.startswith("tile/entries/") else tiles.parse_tile_path
        parse(name)
print(f"ok: {report}")
