{{/*
What the operator needs wherever it serves objects. Scope "cluster" puts it into one ClusterRole, scope
"namespaced" into a Role of each watched namespace.
*/}}
{{- define "supabase-operator.rules" -}}
- apiGroups: [supabase-operator.dev]
  resources: [supabaseprojects, supabaseconnections]
  verbs: [get, list, watch, patch]
- apiGroups: [supabase-operator.dev]
  resources: [supabaseauthconfigs]
  verbs: [get, list, watch]
- apiGroups: [supabase-operator.dev]
  resources: [supabaseprojects/status, supabaseconnections/status, supabaseauthconfigs/status]
  verbs: [patch]
{{- if eq .Values.scope "cluster" }}
- apiGroups: [supabase-operator.dev]
  resources: [clustersupabaseconnections]
  verbs: [get, list, watch, patch]
- apiGroups: [supabase-operator.dev]
  resources: [clustersupabaseconnections/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
{{- end }}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, update, delete{{ if eq (include "supabase-operator.secretsWatch" .) "true" }}, list, watch{{ end }}]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, create, update, delete]
{{- if (default dict .Values.rolloutRestart).enabled }}
# Whoever may patch a workload can run what he likes in its place: see the values.
- apiGroups: [apps]
  resources: [deployments, statefulsets, daemonsets]
  verbs: [patch]
{{- end }}
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}

{{/* What it needs in its own namespace besides. */}}
{{- define "supabase-operator.ownRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "supabase-operator.leaseName" . | quote }}]
  verbs: [get, update]
{{- if and (eq .Values.scope "namespaced") (not (has (include "supabase-operator.namespace" .) (include "supabase-operator.watchNamespaces" . | fromJson).list)) }}
# The operator's own keys lie here, though it serves other namespaces only.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create]
{{- if .Values.consent.enabled }}
# The keys that seal what the consent pages send through browsers; a new one is added every day.
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [supabase-operator-consent-keys]
  verbs: [update]
{{- end }}
{{- end }}
{{- end }}
