package loadtest

import "testing"

// A result is passed on, and an address may hold a password or a token.
func TestDoorInAResultHasNoSecrets(t *testing.T) {
	for _, tt := range []struct{ name, door, want string }{
		{"plain", "http://127.0.0.1:8080", "http://127.0.0.1:8080"},
		{"a path", "https://shop.example.com/ingest/", "https://shop.example.com/ingest/"},
		{"a login", "https://me:canary@shop.example.com/ingest", "https://shop.example.com/ingest"},
		{"a user alone", "https://canary@shop.example.com", "https://shop.example.com"},
		{"a token", "https://shop.example.com/?token=canary", "https://shop.example.com/"},
		{"a fragment", "https://shop.example.com/#canary", "https://shop.example.com/"},
		{"no URL", "https://me:can%ary@shop.example.com", "http"},
		{"no host", "me:canary@shop.example.com", "http"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := withoutSecrets(tt.door); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
