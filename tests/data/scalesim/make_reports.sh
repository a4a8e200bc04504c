#!/bin/sh
# Every report under reports/ was printed by SCALE-Sim 3.0.0 through this script, run in this folder with
#   python -m venv peer && peer/bin/pip install scalesim==3.0.0 'numpy<2.4' && PYTHON=peer/bin/python ./make_reports.sh
# (Python 3.11; hours of CPU and up to 5 GB for the large networks). A finished report is not made again.
set -eu
run() { # topology, configuration [, --gemm]
    [ -e "reports/$1/$2/DETAILED_ACCESS_REPORT.csv" ] || {
        mkdir -p "reports/$1"
        "${PYTHON:-python}" run_peer.py "configs/$2.cfg" "$1.csv" "reports/$1" ${3:-}
    }
}
for flow in os ws is; do
    for array in 8x8 4x16; do
        for mode in calc user; do run small "${flow}_${array}_${mode}"; done
    done
    run sparse "sparse_$flow"
    run sparse_gemm "sparse_$flow" --gemm
done
for name in sparse_ws_zero_offset sparse_rows sparse_rows_user; do run sparse "$name"; done
for array in 32 128; do
    for flow in os ws is; do
        run gemm "${flow}_$array" --gemm
        for network in alexnet mobilenet resnet18; do run "$network" "${flow}_$array"; done
    done
done
for flow in os ws is; do run gemm "${flow}_32_user" --gemm; done
