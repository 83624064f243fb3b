#!/usr/bin/env bash
# Writes the Python stubs of every proto into OUT/clients/python and OUT/service.
# Run it through `make proto`, which provides the pinned generator.
set -euo pipefail
cd "$(dirname "$0")"
out=${1:-..}
generate() { # generate DESTINATION FILE...
  local destination=$1
  shift
  mkdir -p "$destination"
  python -m grpc_tools.protoc -I . \
    --python_out="$destination" --grpc_python_out="$destination" \
    --mypy_out="$destination" --mypy_grpc_out="$destination" "$@"
}
generate "$out/clients/python" pellucid/v1/*.proto
generate "$out/service" pellucid_server/open_inference/*.proto
