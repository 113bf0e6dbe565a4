-- Send every MR image that arrives to myoscreen. Its results (SEG, SR, OT, DOC) are no MR and stay here.
function OnStoredInstance(instanceId, tags, metadata, origin)
  if tags['Modality'] == 'MR' then
    SendToModality(instanceId, 'myoscreen')
  end
end
