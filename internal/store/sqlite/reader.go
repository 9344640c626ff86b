package sqlite

import (
	"database/sql"
	"fmt"
	"net/url"
)

// OpenReader opens a store's file beside the service that writes it, for reading
// only. The file is opened by the first query.
func OpenReader(path string) (*sql.DB, error) {
	dsn := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}
	dsn.RawQuery = url.Values{
		"mode": {"ro"}, "_busy_timeout": {fmt.Sprint(busyTimeout.Milliseconds())}, "_dqs": {"0"},
	}.Encode()
	return sql.Open("sqlite", dsn.String())
}
