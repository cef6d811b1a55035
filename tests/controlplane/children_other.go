//go:build !linux

package main

import "syscall"

// dieWithParent is only known to Linux; elsewhere a child outlives a parent that was killed.
func dieWithParent() *syscall.SysProcAttr { return nil }
