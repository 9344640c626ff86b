# shellcheck shell=bash disable=SC2154
# kafka stop, kafka status, and what happens to brokers in real life.

# stop_brokers stops the given ones, all at once: a broker that finds no other
# controller waits for one, so a last resort follows.
stop_brokers() {
	local n pid deadline
	for n in "$@"; do
		pid=$(pid_of "$n") || continue
		kill -TERM "$pid"
		kill -CONT "$pid" # it may be frozen
	done
	deadline=$((SECONDS + 30))
	for n in "$@"; do
		while pid=$(pid_of "$n"); do
			if ((SECONDS >= deadline)); then
				say "broker $n does not stop by itself and is killed; what was acknowledged is on disk"
				kill -KILL "$pid"
				deadline=$((SECONDS + 30))
			fi
			sleep 0.1
		done
		rm -f "$dir/$n/pid"
	done
}

stop() {
	local n all=() running=0
	for ((n = 1; n <= brokers; n++)); do
		all+=("$n")
		! pid_of "$n" >/dev/null || running=$((running + 1))
	done
	stop_brokers "${all[@]}"
	if ((running == 0)); then
		say "nothing of $dir was running"
	else
		say "$running broker(s) stopped; the data stays in $dir"
	fi
}

# status prints a line for each broker and fails unless all of them serve.
status() {
	local n pid state total=0 rss served=0 lines
	[ -n "$cluster" ] || die "there is no cluster in $dir; make kafka makes one"
	say "cluster $cluster in $dir, $secure"
	for ((n = 1; n <= brokers; n++)); do
		if ! pid=$(pid_of "$n"); then
			echo "  broker $n  stopped"
			continue
		fi
		rss=$(resident "$pid") total=$((total + rss))
		state=starting
		case $(ps -o stat= -p "$pid") in
		T*) state=frozen ;;
		*) if grep -q 'Kafka Server started' "$dir/$n/broker.log" 2>/dev/null; then state=serving served=$((served + 1)); fi ;;
		esac
		lines=$(sed -nE 's/^advertised.listeners=[A-Z_]+:\/\/(.*)/\1/p' "$dir/$n/server.properties")
		echo "  broker $n  $state  $lines  process $pid  $rss MB"
	done
	echo "  $served of $brokers serving, $total MB resident in all"
	((served == brokers))
}

# broker does to one broker what happens to brokers.
broker() {
	local n=${1:-} act=${2:-} pid
	[[ $n =~ ^[1-9]$ && $n -le $brokers ]] || die "broker ${n:-?}: want 1 to $brokers"
	[ -n "$cluster" ] || die "there is no cluster in $dir; make kafka makes one"
	case $act in
	start)
		find_java
		start_brokers "$n"
		return
		;;
	stop)
		stop_brokers "$n"
		return
		;;
	kill | freeze | thaw) ;;
	*) die "broker $n ${act:-?}: want start, stop, kill, freeze or thaw" ;;
	esac
	pid=$(pid_of "$n") || die "broker $n does not run"
	case $act in
	kill)
		kill -KILL "$pid"
		while pid_of "$n" >/dev/null; do sleep 0.05; done
		;;
	freeze) kill -STOP "$pid" ;;
	thaw) kill -CONT "$pid" ;;
	esac
}
