{{- define "pellucid.volumes" -}}
- name: settings
  configMap:
    name: {{ include "pellucid.fullname" . }}
- name: tmp
  emptyDir:
    sizeLimit: {{ .Values.tmpSizeLimit }}
- name: state
  {{- if .Values.state.persistence.enabled }}
  persistentVolumeClaim:
    claimName: {{ include "pellucid.stateClaim" . }}
  {{- else }}
  emptyDir:
    sizeLimit: {{ .Values.state.sizeLimit }}
  {{- end }}
{{- include "pellucid.modelsVolume" . }}
{{- with .Values.modelCache }}
{{- if .enabled }}
- name: model-cache
  {{- if .existingClaim }}
  persistentVolumeClaim:
    claimName: {{ .existingClaim }}
  {{- else }}
  emptyDir:
    sizeLimit: {{ .sizeLimit }}
  {{- end }}
{{- end }}
{{- end }}
{{- if .Values.tls.enabled }}
{{- include "pellucid.secretVolume" (dict "name" "tls" "secret" (include "pellucid.tlsSecret" .) "keys" (list "tls.crt" "tls.key")) }}
{{- with .Values.tls.clientCA }}
{{- if .existingSecret }}
{{- include "pellucid.secretVolume" (dict "name" "client-ca" "secret" .existingSecret "keys" (list .key)) }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.auth.tokens }}
{{- if .existingSecret }}
{{- include "pellucid.secretVolume" (dict "name" "tokens" "secret" .existingSecret "keys" (list .key)) }}
{{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Only the keys that are needed, as a folder, which follows the Secret when it changes. */}}
{{- define "pellucid.secretVolume" }}
- name: {{ .name }}
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
    items:
      {{- range .keys }}
      - key: {{ . }}
        path: {{ . }}
      {{- end }}
{{- end -}}

{{- define "pellucid.modelsVolume" -}}
{{- with .Values.models }}
{{- if eq .source "persistentVolumeClaim" }}
- name: models
  persistentVolumeClaim:
    claimName: {{ .persistentVolumeClaim.claimName }}
    readOnly: {{ .readOnly }}
{{- else if eq .source "imageVolume" }}
- name: models
  image:
    reference: {{ .imageVolume.reference }}
    {{- with .imageVolume.pullPolicy }}
    pullPolicy: {{ . }}
    {{- end }}
{{- else if eq .source "initContainer" }}
- name: models
  emptyDir:
    sizeLimit: {{ .initContainer.sizeLimit }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "pellucid.volumeMounts" -}}
- name: settings
  mountPath: /etc/pellucid/settings
  readOnly: true
- name: tmp
  mountPath: /tmp
- name: state
  mountPath: /var/lib/pellucid
{{- with .Values.models }}
{{- if ne .source "image" }}
- name: models
  mountPath: {{ .path }}
  readOnly: {{ or .readOnly (eq .source "imageVolume") }}
  {{- with dig .source "subPath" "" . }}
  subPath: {{ . }}
  {{- end }}
{{- end }}
{{- end }}
{{- if .Values.modelCache.enabled }}
- name: model-cache
  mountPath: /var/cache/pellucid
{{- end }}
{{- if .Values.tls.enabled }}
- name: tls
  mountPath: /etc/pellucid/tls
  readOnly: true
{{- if .Values.tls.clientCA.existingSecret }}
- name: client-ca
  mountPath: /etc/pellucid/client-ca
  readOnly: true
{{- end }}
{{- end }}
{{- if .Values.auth.tokens.existingSecret }}
- name: tokens
  mountPath: /etc/pellucid/tokens
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}
