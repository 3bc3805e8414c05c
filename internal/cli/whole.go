//go:build !tare_front

package cli

const front = false
