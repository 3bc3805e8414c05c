package libcontainer

import (
	"errors"
	"io/fs"

	"github.com/tare-oci/tare/internal/state"
)

// IDs lists the ids of all containers, sorted, without looking at them. A state
// directory that is not there has none.
func (r *Runtime) IDs() ([]string, error) {
	store, err := state.Open(r.root, false)
	if err != nil {
		return nil, err
	}
	ids, err := store.List()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return ids, err
}
