package schemas_test

import (
	"testing"

	"firehose/schemas"
)

func TestShopLoads(t *testing.T) {
	if got := len(schemas.Shop().Topics()); got != 6 {
		t.Errorf("topics: got %d, want 6", got)
	}
}
