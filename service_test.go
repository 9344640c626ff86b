package firehose_test

import (
	"strings"
	"testing"

	"firehose"
	"firehose/consumers/inventory"
)

func TestConfigIsChecked(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		cfg        firehose.Config
	}{
		{"transactions of less than nothing", "max batch -1: want 1 or more events", firehose.Config{MaxBatch: -1}},
		{"a queue that holds no batch", "max queue bytes 1000: want 1048576 or more", firehose.Config{MaxQueueBytes: 1000}},
		{"a queue of less than nothing", "max queue bytes -1: want 1048576 or more", firehose.Config{MaxQueueBytes: -1}},
		{"no such store", "store: want sqlite:PATH or postgres://", firehose.Config{Store: "mysql:x"}},
		{"a password for a file", "a store of SQLite has no password", firehose.Config{Store: "sqlite:x.db", StorePasswordFile: "p"}},
		{"a password in the address", "--store-password-file", firehose.Config{Store: "postgres://u:s3cret@127.0.0.1:1/db"}},
		{"a password among the settings", "--store-password-file", firehose.Config{Store: "postgresql://u@127.0.0.1:1/db?sslmode=disable&password=s3cret"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			service := inventory.Service()
			instance, err := service.Open(t.Context(), tt.cfg)
			if err == nil {
				instance.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}
