#!/bin/sh
# Make the secrets of the compose deployment, each in a file of its own: passwords of PostgreSQL and Redis,
# and the certificates by which they prove who they are to our containers.
#
#   sh deploy/make-secrets.sh                        once; again after an upgrade: passwords are kept
#   sh deploy/make-secrets.sh --renew-certificates   new certificates; start all containers again afterwards
#
# The folder is closed to everybody else (0700). The files in it are readable (0444), because compose
# hands them into the containers as they are, and the containers run under other user ids.
set -eu
cd "$(dirname "$0")/.."
folder="${SECRETS_DIR:-deploy/secrets}"
# Ten years: nobody but these containers trusts them, and they can be renewed at any time (chosen by us).
days=3650
command -v openssl > /dev/null || { echo "openssl is needed to make the certificates." >&2; exit 1; }
mkdir -p "$folder"
chmod 0700 "$folder"
umask 0077
work=$(mktemp -d "$folder/.new.XXXXXX")
trap 'rm -rf "$work"' EXIT

draw() {
  od -An -N24 -tx1 /dev/urandom | tr -d ' \n'
}

put() { # NAME: what comes in becomes the secret of this name
  cat > "$work/$1"
  chmod 0444 "$work/$1"
  mv -f "$work/$1" "$folder/$1"
}

new_key() { # NAME SUBJECT: a key and a request for a certificate
  openssl ecparam -genkey -name prime256v1 -noout -out "$work/$1.key"
  openssl req -new -sha256 -key "$work/$1.key" -subj "$2" -out "$work/$1.csr"
}

certify() { # NAME: a certificate for the host of this name
  new_key "$1" "/CN=$1"
  printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\nsubjectAltName=DNS:%s,DNS:localhost,IP:127.0.0.1\n' \
    "$1" > "$work/$1.ext"
  openssl x509 -req -sha256 -in "$work/$1.csr" -days "$days" -extfile "$work/$1.ext" \
    -CA "$work/ca.pem" -CAkey "$work/ca.key" -set_serial "0x$(draw | cut -c1-16)" -out "$work/$1.pem" 2> /dev/null
}

make_certificates() {
  new_key ca "/CN=myoscreen internal"
  printf 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n' > "$work/ca.ext"
  openssl x509 -req -sha256 -in "$work/ca.csr" -days "$days" -extfile "$work/ca.ext" \
    -signkey "$work/ca.key" -out "$work/ca.pem" 2> /dev/null
  certify postgres
  certify redis
  # The authority's own key is not kept: nobody can ever sign another certificate that these containers trust.
  put internal_ca < "$work/ca.pem"
  for name in postgres redis; do
    put "${name}_certificate" < "$work/$name.pem"
    put "${name}_key" < "$work/$name.key"
  done
}

if [ -e "$folder/postgres_password" ]; then
  database_password=$(cat "$folder/postgres_password")
else
  database_password=$(draw)
fi
redis_password=""
[ ! -e "$folder/redis.conf" ] || redis_password=$(sed -n 's/^requirepass //p' "$folder/redis.conf")
redis_password=${redis_password:-$(draw)}

if [ ! -e "$folder/internal_ca" ] || [ "${1:-}" = --renew-certificates ]; then
  make_certificates
fi
printf '%s' "$database_password" | put postgres_password
printf 'postgresql+psycopg://myoscreen:%s@postgres:5432/myoscreen?sslmode=verify-full&sslrootcert=/run/secrets/internal_ca' \
  "$database_password" | put database_url
printf 'rediss://:%s@redis:6379/0?ssl_ca_certs=/run/secrets/internal_ca' "$redis_password" | put broker_url
put redis.conf <<CONF
requirepass $redis_password
bind * -::*
port 0
tls-port 6379
tls-cert-file /run/secrets/redis_certificate
tls-key-file /run/secrets/redis_key
tls-ca-cert-file /run/secrets/internal_ca
tls-auth-clients no
tls-protocols "TLSv1.2 TLSv1.3"
save ""
appendonly no
dir /tmp
maxmemory 256mb
maxmemory-policy noeviction
CONF
echo "In $folder: postgres_password, database_url, broker_url, redis.conf, internal_ca, and certificate and key of postgres and redis."
