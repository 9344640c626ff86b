# shellcheck shell=bash disable=SC2154
# What a root file system is laid out with. Whoever sources it sets root, the
# folder that becomes /, and part, its name in messages.


# take copies files of this machine under their own names, with the libraries that
# they load.
take() {
	local file new=()
	for file in "$@"; do
		[ -e "$root$file" ] && continue
		new+=("$file")
		[ -e "$file" ] || die "$file is not on this machine"
		mkdir -p "$root$(dirname "$file")"
		cp -pL "$file" "$root$file"
		licence "$file"
	done
	[ "${#new[@]}" = 0 ] || libraries "${new[@]}"
}

# licence copies what the package of a file says of its licence.
licence() {
	local file=$1 name package
	file=$(readlink -f "$file")
	# The package may know it by its name from before /bin and /lib moved into /usr.
	for name in "$file" "${file#/usr}" "/usr$file"; do
		package=$(grep -lxF -- "$name" /var/lib/dpkg/info/*.list | head -n 1 || :) # as dpkg -S, in a tenth of the time
		package=${package##*/} package=${package%.list} package=${package%:*}
		[ -z "$package" ] || break
	done
	[ -n "$package" ] || die "$file belongs to no package of Debian's: its licence is unknown"
	[ -f "$root/licences/$package" ] && return
	mkdir -p "$root/licences"
	cp -L "/usr/share/doc/$package/copyright" "$root/licences/$package"
}

# libraries takes what programs or libraries load when they start.
libraries() {
	local all
	mapfile -t all < <(ldd "$@" 2>/dev/null | awk '$2 == "=>" && $3 ~ /^\// { print $3 } NF > 1 && $1 ~ /^\/lib.*ld-/ { print $1 }' |
		grep -vF "$root/" | sort -u)
	take "${all[@]}"
}

# programs takes a shell and what entry points call.
programs() {
	local name
	for name in bash mkdir cat ls sleep rm cp chmod id "$@"; do
		take "/bin/$name"
	done
	ln -s bash "$root/bin/sh"
}

# runtime takes the Java at $1 as /opt/java: whole, so that it need not be known
# which of its modules are used, but for what compiles, draws or sounds.
runtime() {
	local home=$1 to=$root/opt/java own
	mkdir -p "$to/bin"
	cp -pL "$home/bin/java" "$to/bin/"
	for own in lib conf legal release; do
		[ -e "$home/$own" ] || continue
		# Debian's are links into /etc, and links to what another package would bring.
		(cd "$home" && find -L "$own" ! -type l ! -type d ! -name src.zip ! -name ct.sym ! -name '*.jfc' -print0 |
			tar -c -h --null -T -) | tar -x -C "$to"
	done
	rm -f "$to"/lib/lib{awt*,jawt*,fontmanager*,freetype*,splashscreen*,jsound*,lcms*,mlib_image*,javajpeg*,harfbuzz*}
	[ -e "$to/legal" ] || licence "$home/bin/java"
	# shellcheck disable=SC2046
	libraries "$to/bin/java" $(find "$to/lib" -name '*.so')
	# What native libraries inside of jars want, which nobody can ask them before.
	local libc
	libc=$(dirname "$(find "$root" -name 'libc.so.6' -printf '/%P\n' | head -n 1)")
	take "$libc"/lib{pthread.so.0,dl.so.2,rt.so.1,m.so.6}
}

# accounts writes the user that everything runs as, number $1, name $2.
accounts() {
	mkdir -p "$root/etc" "$root/tmp" "$root/run"
	printf 'root:x:0:0:root:/:/bin/sh\n%s:x:%s:%s::/:/bin/sh\n' "$2" "$1" "$1" >"$root/etc/passwd"
	printf 'root:x:0:\n%s:x:%s:\n' "$2" "$1" >"$root/etc/group"
	echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
	chmod 1777 "$root/tmp"
}
