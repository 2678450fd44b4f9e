#!/bin/sh
# Makes the password of the database that docker-compose.yml runs, once; a file that is there stays.
set -eu
umask 077
folder="$(dirname "$0")/secrets"
mkdir -p "$folder"
if [ -s "$folder/hpo_password" ]; then
    echo "$folder/hpo_password is there already" >&2
    exit 0
fi
head -c 24 /dev/urandom | base64 | tr '+/' '-_' > "$folder/hpo_password"
echo "made $folder/hpo_password" >&2
