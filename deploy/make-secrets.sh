#!/bin/sh
# Draw the passwords of the compose deployment, each into a file of its own. Existing files are kept.
#
# The folder is closed to everybody else (0700). The files in it are readable (0444), because compose
# hands them into the containers as they are, and the containers run under other user ids.
set -eu
cd "$(dirname "$0")/.."
folder="${SECRETS_DIR:-deploy/secrets}"
mkdir -p "$folder"
chmod 0700 "$folder"
umask 0333

draw() {
  od -An -N24 -tx1 /dev/urandom | tr -d ' \n'
}

if [ -e "$folder/postgres_password" ] || [ -e "$folder/redis.conf" ]; then
  echo "Secrets exist already in $folder; nothing was changed." >&2
  exit 0
fi
database_password=$(draw)
redis_password=$(draw)
printf '%s' "$database_password" > "$folder/postgres_password"
printf 'postgresql+psycopg://myoscreen:%s@postgres:5432/myoscreen' "$database_password" > "$folder/database_url"
printf 'redis://:%s@redis:6379/0' "$redis_password" > "$folder/broker_url"
cat > "$folder/redis.conf" <<CONF
requirepass $redis_password
bind * -::*
save ""
appendonly no
dir /tmp
maxmemory 256mb
maxmemory-policy noeviction
CONF
echo "Written: postgres_password, database_url, broker_url and redis.conf in $folder"
