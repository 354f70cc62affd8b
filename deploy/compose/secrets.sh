#!/bin/sh
# Makes the secrets of this deployment, each once, where only their readers look: one volume per reader.
set -eu
umask 022

random() { head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }

# write FILE TEXT: unless there is one. Whole or not at all: it may be interrupted.
write() {
    mkdir -p "$(dirname "$1")"
    [ -s "$1" ] && return
    printf '%s\n' "$2" >"$1.new"
    mv "$1.new" "$1"
}

cd /secrets
write rabbitmq/password "$(random)"
write rabbitmq/rabbitmq.conf "default_user = backhaul
default_pass = $(cat rabbitmq/password)"
write postgres/password "$(random)"
write worker/amqp_url "amqp://backhaul:$(cat rabbitmq/password)@rabbitmq:5672/%2F"
write platform/amqp_url "$(cat worker/amqp_url)"
write platform/database_url "postgresql://backhaul:$(cat postgres/password)@postgres:5432/backhaul"
write platform/secret_key "$(random)"
chown backhaul client prometheus   # their keys of the API are made later, by `keys`
