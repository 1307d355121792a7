#!/bin/sh
# Writes .env for docker-compose.yml, with secrets of its own. Needs nothing but a shell.
#
#   sh deploy/env.sh                                   to try it, at http://localhost:8080
#   sh deploy/env.sh https://video.example.org         with certificates from Let's Encrypt (Caddy in front)
#   sh deploy/env.sh https://video.example.org files   with yours, in deploy/edge/certificates
#   sh deploy/env.sh https://video.example.org proxy   behind a proxy of yours that has TLS
#
# ENV_FILE=PATH writes there. A file that exists is left as it is: other secrets would lock the data out.
set -eu

url=${1:-http://localhost:8080}
case $url in
  http://*) mode=${2:-plain} ;;
  https://*) mode=${2:-caddy} ;;
  *) echo "PUBLIC_URL must begin with http:// or https://; it is $url." >&2; exit 1 ;;
esac
url=${url%/}
root=$(cd "$(dirname "$0")/.." && pwd)
file=${ENV_FILE:-$root/.env}
if [ -e "$file" ]; then
  echo "$file is there already. Its secrets belong to the data: move it away only with them." >&2
  exit 1
fi

# With a proxy in front, Caddy or another, only this machine reaches the edge itself.
case $mode in
  plain) http=${url##*:}; case $http in //*) http=80 ;; esac
    https=127.0.0.1:8443 tls=off trusted=unix: profiles= ;;
  files) http=80 https=443 tls=on trusted=unix: profiles= ;;
  caddy) http=127.0.0.1:8080 https=127.0.0.1:8443 tls=off trusted=172.30.253.0/24 profiles=caddy ;;
  proxy) http=127.0.0.1:8080 https=127.0.0.1:8443 tls=off trusted=172.30.253.0/24 profiles= ;;
  *) echo "The second argument is files, proxy or nothing; it is $mode." >&2; exit 1 ;;
esac

# 48 letters and digits: some 285 bits, and nothing that an address would have to escape.
secret() {
  value=
  while [ ${#value} -lt 48 ]; do
    value=$value$(head -c 64 /dev/urandom | base64 | tr -dc 'A-Za-z0-9')
  done
  printf '%.48s' "$value"
}

umask 077
while IFS= read -r line; do
  case $line in
    PUBLIC_URL=*) line=PUBLIC_URL=$url ;;
    EDGE_HTTP=*) line=EDGE_HTTP=$http ;;
    EDGE_HTTPS=*) line=EDGE_HTTPS=$https ;;
    EDGE_TLS=*) line=EDGE_TLS=$tls ;;
    EDGE_TRUSTED_PROXY=*) line=EDGE_TRUSTED_PROXY=$trusted ;;
    COMPOSE_PROFILES=*) line=COMPOSE_PROFILES=$profiles ;;
    *_PASSWORD= | *_KEY= | *_SECRET=) line=$line$(secret) ;;
  esac
  printf '%s\n' "$line"
done <"$root/.env.example" >"$file.new"
mv "$file.new" "$file"
echo "$file is written. Next: docker compose up -d" >&2
