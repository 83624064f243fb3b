# Asks for health, and for a prediction by $MODEL, or by the first model that takes a picture.
pellucid health "$@"
model=${MODEL:-$(pellucid models --json "$@" | python -c '
import json, sys
tasks = {"classification", "detection", "instance_segmentation", "semantic_segmentation"}
for model in json.load(sys.stdin):
    ready = any(version["state"] == "ready" for version in model["versions"])
    if ready and model["task"] in tasks:
        sys.exit(print(model["name"]))
sys.exit("no model that takes a picture is served: see models.source, or set test.model")
')}
picture=$(mktemp -d)/picture.png
python -c '
import sys
from PIL import Image
Image.radial_gradient("L").convert("RGB").save(sys.argv[1])
' "$picture"
pellucid predict "$picture" --model "$model" "$@"
