package testbed_test

import (
	"net/http"
	"testing"

	"firehose/internal/testbed"
)

func TestRegistryIsStoppedAndStarted(t *testing.T) {
	r := testbed.RegistryAlone(t)
	ask := func() error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL()+"/subjects", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
	if err := ask(); err != nil {
		t.Errorf("it does not answer: %v", err)
	}
	r.Stop()
	if err := ask(); err == nil {
		t.Error("it is stopped and answers")
	}
	r.Start()
	if err := ask(); err != nil {
		t.Errorf("started again it does not answer: %v", err)
	}
}
