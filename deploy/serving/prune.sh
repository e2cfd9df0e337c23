# Removes from the folder $1 what a server never loads: a third of an install.
#   sh deploy/serving/prune.sh FOLDER
set -eu
cd "$1"
# Tests, headers, and sources for building other packages.
find . -type d -name tests -prune -exec rm -r {} +
rm -rf pyarrow/include pyarrow/src numpy/f2py numpy/distutils
# Arrow's network protocol and query plans; LiteRT's drivers for graphics processors, and its tools.
rm -f pyarrow/libarrow_flight.so* pyarrow/_flight.* pyarrow/libarrow_substrait.so* pyarrow/_substrait.*
rm -rf ai_edge_litert/libLiteRtWebGpuAccelerator.so ai_edge_litert/tools ai_edge_litert/vendors
