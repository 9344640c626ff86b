package testbed

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Python returns an interpreter that has the packages of a requirements file.
// They are installed once, into a virtual environment in the user's cache
// folder, where FIREHOSE_INTEGRATION is set.
func Python(t testing.TB, requirements string) string {
	t.Helper()
	folder := fetched(t, "python", requirements, "python3", func(folder string) error {
		if err := quietly("python3", "-m", "venv", folder); err != nil {
			return err
		}
		return quietly(filepath.Join(folder, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", "-r", requirements)
	})
	return filepath.Join(folder, "bin", "python")
}

// Jars returns a folder with what the pom.xml depends on. It is copied once, by
// Maven, into the user's cache folder, where FIREHOSE_INTEGRATION is set.
func Jars(t testing.TB, pom string) string {
	t.Helper()
	if _, err := exec.LookPath("java"); err != nil {
		Skip(t, "java", "there is no java (on Debian: apt-get install openjdk-17-jre-headless)")
	}
	return fetched(t, "java", pom, "mvn", func(folder string) error {
		return quietly("mvn", "-q", "-B", "-Dstyle.color=never", "-f", pom, "dependency:copy-dependencies",
			"-DincludeScope=runtime", "-DoutputDirectory="+folder)
	})
}

// KafkaTool runs one of Kafka's own tools, a class such as
// org.apache.kafka.tools.TopicCommand, against the cluster and returns what it
// prints. More jars may be given in front of Kafka's.
func (c *Cluster) KafkaTool(class string, classPath []string, args ...string) string {
	c.t.Helper()
	local, err := localScript("kafka")
	if err != nil {
		c.t.Fatal(err)
	}
	jars := Jars(c.t, filepath.Join(filepath.Dir(local), "pom.xml"))
	var path []string
	for _, folder := range append([]string{jars}, classPath...) {
		path = append(path, filepath.Join(folder, "*"))
	}
	args = append([]string{"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dlog4j2.configurationFile=" + filepath.Join(filepath.Dir(local), "log4j2-tools.xml"),
		"-cp", strings.Join(path, ":"), class, "--bootstrap-server", strings.Join(c.Brokers(), ",")}, args...)
	cmd := exec.CommandContext(c.t.Context(), "java", args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		c.t.Fatalf("%s: %v\n%s%s", class, err, out, stderr.String())
	}
	return string(out)
}

// fetched returns a folder of the cache that make has filled, once for each
// content of the file that says what to fetch. Several processes may want it at
// the same time.
func fetched(t testing.TB, part, file, program string, fill func(folder string) error) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	cache, err := cacheFolder()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(cache, fmt.Sprintf("%s-%.6x", part, sha256.Sum256(content)))
	whole := filepath.Join(folder, "whole") // a virtual environment cannot be moved: this file is made last
	unlock, err := lockFile(folder+".lock", exclusive)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if _, err := os.Stat(whole); err == nil {
		return folder
	}
	if _, err := exec.LookPath(program); err != nil {
		Skip(t, part, "there is no "+program)
	}
	if os.Getenv("FIREHOSE_INTEGRATION") == "" {
		Skip(t, part, "FIREHOSE_INTEGRATION is not set, so what "+filepath.Base(file)+" names is not fetched")
	}
	if err := errors.Join(os.RemoveAll(folder), os.MkdirAll(folder, 0o755)); err != nil {
		t.Fatal(err)
	}
	if err := fill(folder); err != nil {
		t.Fatalf("fetching what %s names: %v", file, err)
	}
	if err := os.WriteFile(whole, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return folder
}

// cacheFolder is where tests keep what is fetched or made once.
func cacheFolder() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "firehose-test")
	return cache, os.MkdirAll(cache, 0o755)
}

func quietly(args ...string) error {
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(args[0]), err, out)
	}
	return nil
}
