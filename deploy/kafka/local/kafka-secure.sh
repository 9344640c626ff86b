# shellcheck shell=bash disable=SC2154
# SECURE=1: TLS with a CA made on the spot, SCRAM-SHA-512, and an authorizer that
# allows what each service's manifest asks for and nothing else.
#
#   ca.pem             what clients trust
#   clients/NAME.yaml  settings of our binaries as that user, for --config
#   clients/NAME.properties  the same for Kafka's own tools
#   passwords/NAME     the user's password
#   permissions        what is allowed: user, kind, name, operations
#   tls/               keys and the brokers' certificate

services=(producer replicator inventory billing)
users=(broker admin operator "${services[@]}") # the first two may do everything
scram=org.apache.kafka.common.security.scram.ScramLoginModule
bin=${FIREHOSE_BIN:-$(cd "$here/../../.." && pwd)/bin}

# check_secure refuses what would only fail later.
check_secure() {
	local each
	[ "$secure" = secure ] || return 0
	command -v openssl >/dev/null || die "openssl makes the certificates for SECURE=1, and is not here. On Debian: apt-get install openssl"
	for each in "${services[@]}"; do
		[ -x "$bin/$each" ] || die "what $each may do is what its manifest says, and $bin/$each is not there: make build"
	done
}

# make_credentials makes certificates and passwords that are not there yet.
make_credentials() (
	[ "$secure" = secure ] || return 0
	umask 077
	mkdir -p "$dir/tls" "$dir/passwords" "$dir/clients"
	if [ ! -f "$dir/ca.pem" ]; then
		make_certificates >"$dir/tls/log" 2>&1 || {
			tail -n 3 "$dir/tls/log" >&2
			die "openssl could not make the certificates; all that it said is in $dir/tls/log"
		}
	fi
	for user in "${users[@]}"; do
		if [ ! -s "$dir/passwords/$user" ]; then
			[ ! -f "$dir/1/data/meta.properties" ] || die "$dir/passwords/$user is gone, and the brokers still want it: put it back, or remove $dir"
			printf %s "$(head -c 24 /dev/urandom | base64 | tr '+/' '-_')" >"$dir/passwords/$user"
		fi
		[ "$user" = broker ] || make_client "$user"
	done
)

# make_certificates makes a CA and one certificate for all brokers, whose name is
# the user that they are to each other's controllers. What is there at the end is
# there as a whole: ca.pem comes last.
make_certificates() (
	cd "$dir/tls" &&
		new_key ca.key && new_key broker.key &&
		openssl req -x509 -new -key ca.key -sha256 -days 3650 -subj "/CN=firehose local CA $cluster" -out ca.pem \
			-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign &&
		openssl req -new -key broker.key -subj "/CN=broker" -out broker.csr &&
		openssl x509 -req -in broker.csr -CA ca.pem -CAkey ca.key -CAcreateserial -sha256 -days 3650 -out broker.crt -extfile <(
			echo "basicConstraints=critical,CA:FALSE"
			echo "keyUsage=critical,digitalSignature"
			echo "extendedKeyUsage=serverAuth,clientAuth"
			echo "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"
		) &&
		cat broker.key broker.crt >broker.pem &&
		rm broker.csr broker.key broker.crt &&
		chmod 644 ca.pem &&
		mv ca.pem "$dir/ca.pem"
)

new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }

# make_client writes the settings of user $1.
make_client() {
	cat >"$dir/clients/$1.yaml" <<-YAML
		brokers: $(addresses)
		tls-ca-file: $dir/ca.pem
		sasl-mechanism: SCRAM-SHA-512
		sasl-user: $1
		sasl-password-file: $dir/passwords/$1
	YAML
	cat >"$dir/clients/$1.properties" <<-PROPERTIES
		bootstrap.servers=$(addresses)
		security.protocol=SASL_SSL
		ssl.truststore.type=PEM
		ssl.truststore.location=$dir/ca.pem
		sasl.mechanism=SCRAM-SHA-512
		sasl.jaas.config=$scram required username="$1" password="$(cat "$dir/passwords/$1")";
	PROPERTIES
}

# secure_properties prints what a secured broker has beside the others. The
# controllers know each other by certificate: their users' passwords are in the
# log that they have to agree upon first.
secure_properties() {
	cat <<-PROPERTIES

		# Clients and brokers by password, controllers by certificate, all over TLS.
		sasl.enabled.mechanisms=SCRAM-SHA-512
		sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
		listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=$scram required username="broker" password="$(cat "$dir/passwords/broker")";
		ssl.keystore.type=PEM
		ssl.keystore.location=$dir/tls/broker.pem
		ssl.truststore.type=PEM
		ssl.truststore.location=$dir/ca.pem
		listener.name.controller.ssl.client.auth=required
		ssl.principal.mapping.rules=RULE:^CN=([^,]+).*\$/\$1/

		# What nobody has allowed is refused.
		authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
		super.users=User:broker;User:admin
	PROPERTIES
}

# scram_users prints the users as kafka-storage format takes them.
scram_users() {
	local user
	for user in "${users[@]}"; do
		echo "--add-scram SCRAM-SHA-512=[name=$user,password=$(cat "$dir/passwords/$user")]"
	done
}

# wanted prints what is to be allowed, a line for each user and resource. What the
# environment says to our binaries is for whoever runs them later.
wanted() {
	local each
	for each in "${services[@]}"; do
		env -i PATH="$PATH" "$bin/$each" manifest | awk -v user="$each" '
			/^permissions/ { on = 1; next }
			on && NF { printf "%s %s %s", user, $1, $2; for (i = 3; i <= NF; i++) printf " %s", $i; print "" }'
	done
	cat <<-OPERATOR
		operator topic * CREATE DESCRIBE DESCRIBE_CONFIGS ALTER_CONFIGS READ
		operator group * DESCRIBE READ
	OPERATOR
}

# allow makes the brokers allow what is wanted now, and no longer what was.
allow() {
	local was
	[ "$secure" = secure ] || return 0
	wanted | LC_ALL=C sort >"$dir/permissions.new"
	grep -q '^producer ' "$dir/permissions.new" || die "bin/producer manifest prints no permissions: make build"
	was=$dir/permissions
	[ -f "$was" ] || was=/dev/null
	change --remove <(LC_ALL=C comm -23 "$was" "$dir/permissions.new")
	change --add <(LC_ALL=C comm -13 "$was" "$dir/permissions.new")
	mv "$dir/permissions.new" "$dir/permissions"
}

# change adds or removes the permissions of file $2. A call of Kafka's tool takes
# two seconds, so one does for all resources of a user with the same operations.
change() {
	local call each n=0 jobs='' failed=0 confirm=
	[ "$1" = --add ] || confirm=--force
	set -f # literal names, and one of them is *
	while IFS= read -r call; do
		n=$((n + 1))
		# shellcheck disable=SC2086 # it is a list of arguments without spaces
		tool acls "$1" $confirm $call >"$dir/acls.$n.log" 2>&1 &
		jobs+=" $!"
	done < <(arguments <"$2")
	set +f
	for each in $jobs; do wait "$each" || failed=1; done
	if [ "$failed" = 1 ]; then
		cat "$dir"/acls.*.log | grep -E 'rror|xception' | head -n 3 >&2
		die "the permissions could not be set; start again"
	fi
	rm -f "$dir"/acls.*.log
}

# arguments makes the tool's from lines of permissions, a line for each call. It
# wants DESCRIBE_CONFIGS as DescribeConfigs.
arguments() {
	awk '{
		call = "--allow-principal User:" $1
		for (i = 4; i <= NF; i++) {
			n = split(tolower($i), words, "_")
			call = call " --operation "
			for (w = 1; w <= n; w++) call = call toupper(substr(words[w], 1, 1)) substr(words[w], 2)
		}
		resources[call] = resources[call] " --" $2 " " $3
	} END { for (call in resources) print call resources[call] }'
}
