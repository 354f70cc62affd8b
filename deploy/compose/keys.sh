#!/bin/sh
# Makes the keys of the API that this deployment itself uses, each once, where their users look for them.
set -eu
umask 022

# key READER SCOPE
key() {
    file=/secrets/$1/api_key
    [ -s "$file" ] && return
    backhaul keys create --name "$1" --scope "$2" >"$file.new"
    mv "$file.new" "$file"
}

key client admin   # docker compose run --rm cli …
key prometheus read
