#!/bin/sh
# A tree of three levels: this shell, node, and node's worker, which listens too. Arguments: STAMPS PORT
echo "tree 0 $$" >>"$1"
node "${0%.sh}.js" "$1" "$2"
:
