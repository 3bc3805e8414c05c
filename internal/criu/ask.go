package criu

import (
	"fmt"

	"github.com/checkpoint-restore/go-criu/v8/rpc"
)

// Version is CRIU's.
type Version struct{ Major, Minor, Sublevel int }

// Before says that v is older.
func (v Version) Before(w Version) bool {
	if v.Major != w.Major {
		return v.Major < w.Major
	}
	if v.Minor != w.Minor {
		return v.Minor < w.Minor
	}
	return v.Sublevel < w.Sublevel
}

// String prints it as CRIU does: 3.17.1, and 3.18.
func (v Version) String() string {
	if v.Sublevel == 0 {
		return fmt.Sprintf("%d.%d", v.Major, v.Minor)
	}
	return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Sublevel)
}

// VersionOf asks CRIU for its version.
func VersionOf(p Program) (Version, error) {
	resp, err := ask(p, &rpc.CriuReq{Type: new(rpc.CriuReqType_VERSION)})
	v := resp.GetVersion()
	return Version{int(v.GetMajorNumber()), int(v.GetMinorNumber()), int(v.GetSublevel())}, err
}

// CanBringPagesLater asks whether CRIU, on this kernel, can restore processes whose
// memory comes when it is used (criu(8), lazy-pages).
func CanBringPagesLater(p Program) (bool, error) {
	resp, err := ask(p, &rpc.CriuReq{Type: new(rpc.CriuReqType_FEATURE_CHECK), Features: &rpc.CriuFeatures{LazyPages: new(true)}})
	return resp.GetFeatures().GetLazyPages(), err
}

// ask starts a CRIU for one question.
func ask(p Program, req *rpc.CriuReq) (*rpc.CriuResp, error) {
	p.Stdin, p.Files = nil, nil
	s, err := Start(p)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if err := s.send(req); err != nil {
		return nil, err
	}
	resp, fd, err := s.receive()
	closeFD(fd)
	return resp, err
}
