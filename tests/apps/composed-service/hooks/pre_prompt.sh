#!/bin/sh
command -v git > /dev/null || { echo "this template needs git"; exit 1; }
