package report_test

import (
	"context"
	"image"
	"image/color"
	_ "image/png" // what a browser makes screenshots in
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"firehose/internal/testbed"
)

// browser opens pages behind a proxy that answers nothing and remembers who was
// asked for.
type browser struct {
	t       *testing.T
	program string
	proxy   string

	mu    sync.Mutex
	hosts []string
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	testbed.Integration(t)
	b := &browser{t: t}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			b.program = path
			break
		}
	}
	if b.program == "" {
		testbed.Skip(t, "browser", "no chromium on this machine (Debian: chromium)")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.hosts = append(b.hosts, r.Host)
		w.WriteHeader(http.StatusForbidden)
	})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) }) // until it is closed
	t.Cleanup(func() {
		server.Close()
		serving.Wait()
	})
	b.proxy = listener.Addr().String()
	return b
}

// open shows a page and returns what it looks like and which hosts were asked
// for on the page's account.
func (b *browser) open(page string) (image.Image, []string) {
	b.t.Helper()
	dir := b.t.TempDir()
	path, shot := filepath.Join(dir, "page.html"), filepath.Join(dir, "shot.png")
	if err := os.WriteFile(path, []byte(page), 0o600); err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
		"--proxy-server=http://"+b.proxy, "--proxy-bypass-list=<-loopback>", "--user-data-dir="+filepath.Join(dir, "profile"),
		"--window-size=1250,3200", "--screenshot="+shot, "file://"+path)
	cmd.WaitDelay = 10 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("%s: %v\n%s", b.program, err, out)
	}
	file, err := os.Open(shot)
	if err != nil {
		b.t.Fatal(err)
	}
	defer file.Close()
	img, _, err := image.Decode(file)
	if err != nil {
		b.t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	hosts := b.hosts
	b.hosts = nil
	// What the browser asks its maker for is not the page's doing.
	return img, slices.DeleteFunc(hosts, func(host string) bool {
		host, _, _ = strings.Cut(host, ":")
		for _, maker := range []string{"google.com", "googleapis.com", "gvt1.com", "gstatic.com"} {
			if host == maker || strings.HasSuffix(host, "."+maker) {
				return true
			}
		}
		return false
	})
}

// ink counts the pixels of a line's colour.
func ink(img image.Image, want color.RGBA) int {
	n := 0
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y++ {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x++ {
			r, g, b, _ := img.At(x, y).RGBA()
			near := func(got uint32, want uint8) bool { d := int(got>>8) - int(want); return -40 < d && d < 40 }
			if near(r, want.R) && near(g, want.G) && near(b, want.B) {
				n++
			}
		}
	}
	return n
}

func TestPageInABrowser(t *testing.T) {
	b := newBrowser(t)
	full := result("a", 20)
	bare := result("a", 20)
	bare.Series = nil
	for i := range full.Series { // so that no line hides another
		full.Series[i].Applied, full.Series[i].Acked = 500, 800
	}
	drawn, hosts := b.open(write(t, full))
	if len(hosts) != 0 {
		t.Errorf("requests that leave the page: got %q, want none", hosts)
	}
	undrawn, _ := b.open(write(t, bare))
	for name, c := range map[string]color.RGBA{
		"first lines": {0x17, 0x63, 0xc7, 255}, "second lines": {0xd9, 0x73, 0x0d, 255}, "third lines": {0x8a, 0x4b, 0xbf, 255},
	} {
		got, without := ink(drawn, c), ink(undrawn, c)
		t.Logf("%s: %d pixels, %d without a series", name, got, without)
		if got < without+500 {
			t.Errorf("%s: %d pixels, and %d on a page without a series: nothing is drawn", name, got, without)
		}
	}

	// The same page, spoilt: the proxy would have seen it.
	spoilt := strings.Replace(write(t, full), "<h1>", `<img src="http://beacon.invalid/x.png"/><h1>`, 1)
	if _, hosts := b.open(spoilt); len(hosts) != 0 {
		t.Errorf("the policy of the page lets a request leave: %q", hosts)
	}
	start, end := strings.Index(spoilt, `<meta http-equiv`), strings.Index(spoilt, `<meta name="viewport"`)
	if _, hosts := b.open(spoilt[:start] + spoilt[end:]); !slices.Contains(hosts, "beacon.invalid") {
		t.Errorf("got requests to %q, want one that was put in on purpose: this test notices nothing", hosts)
	}
}

// The page that the documentation links shows its plots, and asks nobody for them.
func TestPageOfTheDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/loadtest/report.html")
	if err != nil {
		t.Fatal(err)
	}
	b := newBrowser(t)
	drawn, hosts := b.open(string(page))
	if len(hosts) != 0 {
		t.Errorf("requests that leave the page: got %q, want none", hosts)
	}
	lines := regexp.MustCompile(`<polyline[^>]*>`)
	if n := len(lines.FindAll(page, -1)); n < 10 {
		t.Fatalf("got %d lines in the plots of two runs, want 10 or more", n)
	}
	undrawn, _ := b.open(lines.ReplaceAllString(string(page), ""))
	blue := color.RGBA{0x17, 0x63, 0xc7, 255}
	if got, without := ink(drawn, blue), ink(undrawn, blue); got < without+2000 {
		t.Errorf("%d pixels of lines, and %d without them: nothing is drawn", got, without)
	}
}
