#!/usr/bin/env bash
# Hand in a wish and read the answer: needs kcat (with a password, one on librdkafka 2.6.1 or newer).
#
# bash publish.sh KAFKA PARTNER SOURCE < wish.json
set -euo pipefail

kafka=$1 partner=$2 source=$3 topic=${WISHGRID_TOPIC_PREFIX:-}wishgrid
kcat=(timeout "${WISHGRID_ANSWER_SECONDS:-30}" kcat -q -b "$kafka")
if [[ -n ${WISHGRID_KAFKA_USER:-} ]]; then
	config=$(mktemp) # where nobody else sees it, as everybody would on the command line
	trap 'rm -f "$config"' EXIT
	printf '%s\n' "security.protocol=${WISHGRID_KAFKA_PROTOCOL:-SASL_SSL}" sasl.mechanism=SCRAM-SHA-512 \
		"sasl.username=$WISHGRID_KAFKA_USER" "sasl.password=$WISHGRID_KAFKA_PASSWORD" >"$config"
	kcat+=(-F "$config")
fi

wish=$(tr '\n' ' ') # kcat sends a record per line
event=$(printf %s "$wish" | sha256sum | cut -d ' ' -f 1) # the same wish again is the same event
ref=$(grep -o '"ref" *: *"[^"]*"' <<<"$wish" | cut -d '"' -f 4) # order is promised for one key
"${kcat[@]}" -P -t "$topic.inbound.$partner.v1" -k "$ref" -H ce_specversion=1.0 -H "ce_id=$event" \
	-H "ce_source=$source" -H ce_type=wishgrid.wish-submitted.v1 <<<"$wish" ||
	{ echo 'not sent: send the same again' >&2 && exit 1; }

exec 3< <(exec "${kcat[@]}" -C -u -t "$topic.answers.$partner.v1" -o beginning -f '%k %s\n' 2>/dev/null)
reading=$!
if ! answer=$(grep -m 1 "^$event " <&3); then # its key is the event that it answers
	echo 'not answered in time: send the same again' >&2
	exit 1
fi
kill "$reading"
printf '%s\n' "${answer#* }"
[[ $answer == *'"said":"accepted"'* ]]
